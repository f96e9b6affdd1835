package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gomptcp/gomptcp/mptcp"
)

// progress prints a line for each second of a connection until end is called.
func progress(out io.Writer, conn *mptcp.Conn) (end func()) {
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		begin, last := time.Now(), conn.Info()
		for {
			select {
			case <-stop:
				return
			case now := <-tick.C:
				info := conn.Info()
				fmt.Fprintf(out, "%6.1f s  %s\n", now.Sub(begin).Seconds(), rates(last, info))
				last = info
			}
		}
	})
	return func() { close(stop); done.Wait() }
}

// rates tells what moved between two looks a second apart, both ways, in all and by device.
func rates(before, after mptcp.Info) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%7.1f Mbit/s", mbits(after.BytesAcked+after.BytesReceived-before.BytesAcked-before.BytesReceived, time.Second))
	devices := map[string]uint64{}
	var names []string
	count := func(list []mptcp.SubflowInfo, sign uint64) {
		for _, f := range list {
			if !slices.Contains(names, f.Device) {
				names = append(names, f.Device)
			}
			devices[f.Device] += sign * (f.BytesAcked + f.BytesReceived)
		}
	}
	count(before.Subflows, ^uint64(0)) // minus one
	count(after.Subflows, 1)
	for _, name := range names {
		// A closed subflow may have been forgotten in between.
		fmt.Fprintf(&s, "   %s %7.1f", name, mbits(uint64(max(int64(devices[name]), 0)), time.Second))
	}
	return s.String()
}

func mbits(bytes uint64, d time.Duration) float64 { return float64(bytes) * 8 / 1e6 / d.Seconds() }

// String tells of a transfer in one line.
func (rep *report) String() string {
	took := time.Duration(rep.Ms * float64(time.Millisecond))
	var rate float64
	if took > 0 {
		rate = mbits(uint64(rep.Bytes), took)
	}
	s := fmt.Sprintf("%.1f MB in %.2f s, %.1f Mbit/s, SHA-256 %s", float64(rep.Bytes)/1e6, took.Seconds(), rate, rep.Sum)
	if len(rep.Gaps) > 0 {
		s += fmt.Sprintf(", longest pause %.0f ms", rep.Gaps[0].Ms)
	}
	if rep.Err != "" {
		s += ", " + rep.Err
	}
	return s
}

// summarize prints a result for a person.
func summarize(out io.Writer, res *result) {
	fmt.Fprintf(out, "connected in %.1f ms\n", res.ConnectMs)
	if rep := res.Report; rep != nil {
		fmt.Fprintf(out, "%s: %v\n", res.Mode, rep)
		if q := newQuantiles(rep.rates()); q != nil {
			fmt.Fprintf(out, "rate in 100 ms, Mbit/s: min %.1f  p10 %.1f  p50 %.1f  p90 %.1f  max %.1f\n", q.Min, q.P10, q.P50, q.P90, q.Max)
		}
		for _, g := range rep.Gaps {
			fmt.Fprintf(out, "pause of %7.1f ms at %8.1f ms\n", g.Ms, g.AtMs+rep.FirstMs)
		}
	}
	if q := res.Quantiles; q != nil {
		fmt.Fprintf(out, "%d answers, ms: p50 %.1f  p90 %.1f  p99 %.1f  max %.1f  mean %.1f\n", len(res.Lat), q.P50, q.P90, q.P99, q.Max, q.Mean)
	}
	if res.Info != nil {
		summarizeConn(out, res.Info)
	}
}

// rates are those of the whole bins but the last, in Mbit/s.
func (rep *report) rates() (all []float64) {
	for _, n := range rep.Bins[:max(len(rep.Bins)-1, 0)] {
		all = append(all, mbits(uint64(n), binTime))
	}
	return all
}

func summarizeConn(out io.Writer, info *mptcp.Info) {
	if !info.MPTCP {
		fmt.Fprintf(out, "plain TCP: %s\n", info.FallbackReason)
	}
	for _, f := range info.Subflows {
		fmt.Fprintf(out, "%v -> %v by %s: %s", f.Local, f.Remote, f.Device, f.State)
		if f.Reason != "" {
			fmt.Fprintf(out, " (%s)", f.Reason)
		}
		fmt.Fprintf(out, ", %.1f MB sent, %.1f MB received, %d segments sent again, round trip %v (least %v)\n",
			float64(f.BytesSent)/1e6, float64(f.BytesReceived)/1e6, f.Retransmits,
			f.SRTT.Round(100*time.Microsecond), f.MinRTT.Round(100*time.Microsecond))
	}
	fmt.Fprintf(out, "%.1f MB were sent on a second subflow, too\n", float64(info.BytesReinjected)/1e6)
}
