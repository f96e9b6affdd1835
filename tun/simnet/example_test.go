package simnet_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/netip"
	"strings"
	"time"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// A phone with Wi-Fi and a mobile network loads a file; after a second it leaves the reach
// of the Wi-Fi.
func Example() {
	err := simnet.Run(simnet.Config{Seed: 1}, func(w *simnet.World) {
		phone, server, internet := w.Host("phone"), w.Host("server"), w.Router("internet")
		wifi := w.Connect(phone, internet, simnet.Shape{Rate: 4 * simnet.Mbps, Delay: 5 * time.Millisecond},
			simnet.Shape{Rate: 16 * simnet.Mbps, Delay: 5 * time.Millisecond})
		mobile := w.Connect(phone, internet, simnet.Shape{Rate: 2 * simnet.Mbps, Delay: 30 * time.Millisecond},
			simnet.Shape{Rate: 8 * simnet.Mbps, Delay: 30 * time.Millisecond})
		fiber := w.Connect(internet, server, simnet.Shape{}, simnet.Shape{})
		internet.Route(netip.MustParsePrefix("10.1.0.0/24"), wifi)
		internet.Route(netip.MustParsePrefix("10.2.0.0/24"), mobile)
		internet.Route(netip.MustParsePrefix("0.0.0.0/0"), fiber)

		here, err := mptcp.NewHost(&mptcp.Config{Environment: phone})
		check(err)
		check(here.AddDevice(wifi.A, netip.MustParsePrefix("10.1.0.2/24")))
		check(here.AddDevice(mobile.A, netip.MustParsePrefix("10.2.0.2/24")))
		there, err := mptcp.NewHost(&mptcp.Config{Environment: server})
		check(err)
		check(there.AddDevice(fiber.B, netip.MustParsePrefix("192.0.2.1/24")))

		l, err := there.Listen("tcp", ":80")
		check(err)
		go func() {
			c, err := l.Accept()
			check(err)
			_, err = c.Write(make([]byte, 4_000_000))
			check(err)
			check(c.Close())
		}()
		w.At(time.Second, wifi.Down)
		c, err := here.DialContext(context.Background(), "tcp", "192.0.2.1:80")
		check(err)
		n, err := io.Copy(io.Discard, c)
		check(err)
		fmt.Println(n, "bytes; in less than six seconds:", w.Elapsed() < 6*time.Second)
	})
	check(err)
	// Output: 4000000 bytes; in less than six seconds: true
}

func ExampleWorld_At() {
	_ = simnet.Run(simnet.Config{}, func(w *simnet.World) {
		w.At(2*time.Hour, func() { fmt.Println("two hours later") })
		stop := w.Every(time.Hour, func() { fmt.Println("tick", w.Elapsed()) })
		time.Sleep(150 * time.Minute)
		stop()
	})
	// Output:
	// tick 1h0m0s
	// two hours later
	// tick 2h0m0s
}

func ExampleDirection_Follow() {
	// A packet of 1500 bytes may leave 2 ms and 5 ms after the beginning, then again and
	// again with a period of 5 ms.
	trace, err := simnet.ReadMahimahi(strings.NewReader("2\n5\n"))
	check(err)
	_ = simnet.Run(simnet.Config{}, func(w *simnet.World) {
		l := w.Connect(w.Host("a"), w.Host("b"), simnet.Shape{}, simnet.Shape{})
		l.There.Follow(trace)
		fmt.Println(trace.Period(), trace.Rate())
	})
	// Output: 5ms 4.8Mbit/s
}

func ExampleDirection_Through() {
	_ = simnet.Run(simnet.Config{}, func(w *simnet.World) {
		l := w.Connect(w.Host("client"), w.Host("server"), simnet.Shape{}, simnet.Shape{})
		nat := simnet.NewNAT(netip.MustParseAddr("192.0.2.1"))
		l.There.Through(nat.Out, simnet.StripMPTCP(simnet.IsSYN))
		l.Back.Through(nat.In)
	})
	// Output:
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
