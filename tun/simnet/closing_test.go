package simnet_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// 8684-3.7-01, -03: where options vanish, or a proxy acknowledges, both ends close at once, with a little
// data that nobody has read or even received: each end learns that the other has its stream to the end.
func TestBothCloseAtOnce(t *testing.T) {
	boxes := map[string]func(l *simnet.Link){
		"nothing":             func(*simnet.Link) {},
		"stripped from data":  func(l *simnet.Link) { both(l, simnet.StripMPTCP(simnet.HasPayload)) },
		"stripped there":      func(l *simnet.Link) { l.There.Through(simnet.StripMPTCP(nil)) },
		"stripped back":       func(l *simnet.Link) { l.Back.Through(simnet.StripMPTCP(nil)) },
		"stripped after SYNs": func(l *simnet.Link) { both(l, simnet.StripMPTCP(func(b []byte) bool { return !simnet.IsSYN(b) })) },
		"ACK proxy": func(l *simnet.Link) {
			x := new(simnet.AckProxy)
			l.There.Through(x.Data)
			l.Back.Through(x.Acks)
		},
	}
	for name, box := range boxes {
		for _, sizes := range [][2]int{{0, 0}, {1, 0}, {0, 1}, {1000, 0}, {0, 1000}, {1000, 1000}, {5000, 5000}} {
			for _, loss := range []float64{0, 0.05} {
				t.Run(fmt.Sprintf("%s %v %v", name, sizes, loss), func(t *testing.T) {
					simnet.Test(t, simnet.Config{Deadline: 10 * time.Minute}, func(t *testing.T, w *simnet.World) {
						p := newPair(t, w, nil, simnet.Shape{Delay: 10 * time.Millisecond, Loss: loss})
						box(p.links[0])
						c, s := p.connect(t)
						for i, conn := range []*mptcp.Conn{c, s} {
							_, err := conn.Write(make([]byte, sizes[i]))
							require.NoError(t, err)
							require.NoError(t, conn.Close())
						}
						for _, conn := range []*mptcp.Conn{c, s} {
							assert.NoError(t, conn.Wait(context.Background()), "%v", conn.LocalAddr())
						}
					})
				})
			}
		}
	}
}

// both puts the same middlebox into both directions.
func both(l *simnet.Link, box simnet.Middlebox) {
	l.There.Through(box)
	l.Back.Through(box)
}
