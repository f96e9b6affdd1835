package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/gomptcp/gomptcp/mptcp"
)

// stats is what -stats writes.
type stats struct {
	// MPTCP is false for plain TCP; then FallbackReason says why.
	MPTCP          bool   `json:"mptcp"`
	FallbackReason string `json:"fallback_reason"`
	// Token is ours and RemoteToken the peer's, in hex as `ss -M -i` prints them.
	Token       string `json:"token"`
	RemoteToken string `json:"remote_token"`
	Checksum    bool   `json:"checksum"`
	// BytesSent counts the bytes of the stream that the peer has confirmed, BytesReceived
	// those that arrived in order.
	BytesSent       uint64         `json:"bytes_sent"`
	BytesReceived   uint64         `json:"bytes_received"`
	BytesReinjected uint64         `json:"bytes_reinjected"`
	Subflows        []subflowStats `json:"subflows"`
	// Error says what went wrong; empty when all was delivered and confirmed.
	Error string `json:"error"`
}

// subflowStats is one subflow, whether it is still open or not.
type subflowStats struct {
	Local         string `json:"local"`
	Remote        string `json:"remote"`
	Device        string `json:"device"`
	Backup        bool   `json:"backup"`
	State         string `json:"state"`
	Reason        string `json:"reason"`
	BytesSent     uint64 `json:"bytes_sent"`
	BytesReceived uint64 `json:"bytes_received"`
	Retransmits   uint64 `json:"retransmits"`
	SRTTMicros    int64  `json:"srtt_us"`
}

// newStats turns a connection's Info, and how the transfer ended, into stats.
func newStats(info mptcp.Info, ended error) stats {
	s := stats{
		MPTCP:           info.MPTCP,
		FallbackReason:  info.FallbackReason,
		Token:           fmt.Sprintf("%08x", info.LocalToken),
		RemoteToken:     fmt.Sprintf("%08x", info.RemoteToken),
		Checksum:        info.Checksum,
		BytesSent:       info.BytesAcked,
		BytesReceived:   info.BytesReceived,
		BytesReinjected: info.BytesReinjected,
		Subflows:        []subflowStats{},
	}
	if ended != nil {
		s.Error = ended.Error()
	}
	for _, sf := range info.Subflows {
		s.Subflows = append(s.Subflows, subflowStats{
			Local:         sf.Local.String(),
			Remote:        sf.Remote.String(),
			Device:        sf.Device,
			Backup:        sf.Backup,
			State:         sf.State,
			Reason:        sf.Reason,
			BytesSent:     sf.BytesSent,
			BytesReceived: sf.BytesReceived,
			Retransmits:   sf.Retransmits,
			SRTTMicros:    sf.SRTT.Microseconds(),
		})
	}
	return s
}

// writeStats writes the JSON to a file; with an empty name it does nothing.
func writeStats(name string, info mptcp.Info, ended error) error {
	if name == "" {
		return nil
	}
	b, err := json.MarshalIndent(newStats(info, ended), "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(name, append(b, '\n'), 0o666); err != nil {
		return fmt.Errorf("-stats: %w", err)
	}
	return nil
}
