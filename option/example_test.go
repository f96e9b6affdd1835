package option_test

import (
	"fmt"

	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
)

// The options of a data segment, built and read back.
func Example() {
	dss := option.DSS{HasAck: true, Ack: 0x535beea38e087c8f, HasMap: true, DSN: 0xf5a101d3d29d6f78, SSN: 6, Len: 6}
	area := option.AppendTimestamps(nil, 1, 2)
	area = option.Pad(dss.AppendTo(area), 0)

	set := option.Parse(area, option.FlagACK)
	got, ok := set.DSS()
	fmt.Println(len(area), ok, got)
	fmt.Printf("%x\n", got.WideDSN(seq.DSN(0xf5a101d3d29d6f00)))
	// Output:
	// 32 true DSS ack=8e087c8f dsn=d29d6f78 ssn=6 len=6
	// f5a101d3d29d6f78
}
