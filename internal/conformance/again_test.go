package conformance

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/option"
)

// 8684-1.1-01, 8684-3.1-07: the SYN/ACK was lost; the same key comes again.
func TestSYNAgain(t *testing.T) {
	Families(t, twoPaths, func(t *testing.T, l *Lab) {
		accept := l.Listen()
		p := l.Client(0)
		for range 3 {
			p.Send("SYN", Seq(0), SYN, Capable)
			p.Await("SYN/ACK, always with one key", SYN|ACK, Capable)
		}
		p.Send("third packet", ACK, Capable)
		require.True(t, accept.Result().Info().MPTCP)
		p.Send("first data", Data("x"), Capable)
		p.Await("accepted", ACK, DataAck(2))

		j := l.Client(1)
		for range 3 {
			j.Send("SYN of a join", Seq(0), SYN, Join)
			j.Await("SYN/ACK", SYN|ACK, Join)
		}
		j.Send("third packet", ACK, Join)
		j.Await("fourth packet", ACK, Len(0))
	})
}

// 8684-3.1-11, -12, 8684-3.2-16: the third packet was lost.
func TestSynAckAgain(t *testing.T) {
	Test(t, meshed, func(t *testing.T, l *Lab) {
		p, _ := l.Accept()
		p.Send("SYN/ACK again", Seq(0), SYN|ACK, Capable)
		p.Want("third packet again", ACK, Len(0), Capable)
		p.Confirm()
		j := l.Opened("join", SYN, Join)
		for range 2 {
			j.Send("SYN/ACK", Seq(0), SYN|ACK, Join)
			j.Want("third packet", ACK, Len(0), Join)
		}
	})
}

// 8684-3.3.3-02, -04: the DATA_ACK of our DATA_FIN was lost.
func TestPeerRepeatsDataFin(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		require.NoError(t, conn.Close())
		p.Await("DATA_FIN", ACK, MapFin(1, 0, 1))
		p.Send("DATA_FIN of the peer", ACK, MapFin(2, 0, 1), DataAck(2))
		p.Await("acknowledged", ACK, DataAck(3))
		for range 2 {
			l.Sleep(second)
			p.Forget()
			p.Send("and again", ACK, MapFin(2, 0, 1), DataAck(2))
			p.Await("acknowledged again", With(option.SubtypeDSS), DataAck(3))
		}
	})
}

// 8684-3.3.3-05: DATA_FIN and FIN in one segment.
func TestDataFinOnFIN(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		Test(t, Options{PeerChecksum: checksum}, func(t *testing.T, l *Lab) {
			p, conn := connected(l)
			p.Send("all at once", Data("end"), FIN|ACK, MapFin(2, 2, 4))
			p.Await("acknowledged at both levels", ACK, AckNo(6), DataAck(6))
			require.Equal(t, "end", l.Read(conn, 3).Result())
			require.ErrorIs(t, l.Read(conn, 1).Err(), io.EOF)
		})
	}
}
