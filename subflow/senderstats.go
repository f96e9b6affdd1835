package subflow

import (
	"time"

	"github.com/gomptcp/gomptcp/subflow/congestion"
)

// SenderStats is a snapshot of a Sender.
type SenderStats struct {
	// SRTT, RTTVar and MinRTT are 0 if not measured. MinRTT is that of the last 10 to 20 s.
	SRTT, RTTVar, MinRTT time.Duration
	// RTO is the retransmission timeout without backoff.
	RTO time.Duration
	// Carried is how many bytes were delivered within each round trip of SRTT, smoothed as that is; 0 if not measured.
	Carried int
	// Cwnd is the congestion window, InFlight and Unsent as the methods of Sender, in bytes.
	Cwnd, InFlight, Unsent int
	// DeliveryRate in bytes/s, 0 if not measured; PacingRate in bytes/s, 0 if not paced.
	DeliveryRate, PacingRate float64
	// BytesSent counts payload bytes sent, each once; BytesAcked those acknowledged
	// cumulatively.
	BytesSent, BytesAcked uint64
	SenderCounters
}

// SenderCounters counts the events of a Sender's life.
type SenderCounters struct {
	// Retransmits counts segments sent again, RetransBytes their payload, Lost the bytes
	// deemed lost.
	Retransmits, RetransBytes, Lost uint64
	// DSACKs counts reports of duplicates at the peer, SpuriousRecoveries loss episodes
	// that were taken back.
	DSACKs, SpuriousRecoveries uint64
	// TLPs counts tail loss probes, RTOs retransmission timeouts.
	TLPs, RTOs uint64
}

// CoupledWindow is the congestion window as the controllers of other subflows count it (RFC
// 6356 section 3), in bytes.
func (s *Sender) CoupledWindow() int {
	if c, ok := s.cc.(congestion.Coupled); ok {
		return c.CoupledWindow()
	}
	return s.cc.Window()
}

// SRTT is the smoothed round-trip time, MinRTT the smallest of the last 10 to 20 s; 0 if not measured.
func (s *Sender) SRTT() time.Duration   { return s.rtt.srtt }
func (s *Sender) MinRTT() time.Duration { return s.rtt.minRTT() }

// Snapshot returns the present state.
func (s *Sender) Snapshot() SenderStats {
	return SenderStats{
		SRTT:           s.rtt.srtt,
		RTTVar:         s.rtt.rttvar,
		MinRTT:         s.rtt.minRTT(),
		RTO:            s.rtt.rto(),
		Carried:        s.rtt.carried,
		Cwnd:           s.cc.Window(),
		InFlight:       s.board.inFlight,
		Unsent:         s.Unsent(),
		DeliveryRate:   s.rate.last,
		PacingRate:     s.cc.PacingRate(),
		BytesSent:      s.nxt,
		BytesAcked:     s.una,
		SenderCounters: s.stats,
	}
}
