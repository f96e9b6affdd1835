//go:build linux

package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"time"
)

// The rig's protocol: the client sends a request as a line of JSON; then frames go one
// way, each a length of 4 bytes, a number of 8 and its bytes, up to a length of 0 and
// the SHA-256 of all frames. Of an upload the server then reports, as a line of JSON.

// frameSize is the largest number of bytes in a frame; the header comes on top.
const (
	frameSize  = 64<<10 - headerSize
	headerSize = 12
)

type request struct {
	Mode         string
	Bytes, DurMs int64
	NoSum        bool
}

// result is what is printed.
type result struct {
	Mode               string
	ConnectMs, TotalMs float64
	SendMs             float64 `json:",omitempty"`
	Report             *report `json:",omitempty"`
	Info               any     `json:",omitempty"`
	Err                string  `json:",omitempty"`
	Start              time.Time
}

// report is what the receiver saw.
type report struct {
	Bytes       int64
	Ms, FirstMs float64 // from the request to the last and to the first byte
	Sum         string  // "ok", "none", "WRONG"
	Bins        []int64 // bytes in each 100 ms since the request
	Gaps        []gap   // the longest five
	Err         string  `json:",omitempty"`
}

type gap struct{ AtMs, Ms float64 }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// transfer runs the test over c and fills in the result.
func transfer(c net.Conn, o options, r *result) error {
	q := request{Mode: o.mode, Bytes: o.size, DurMs: o.time.Milliseconds(), NoSum: o.noSum}
	line, err := json.Marshal(q)
	if err != nil {
		return err
	}
	begin := time.Now()
	if _, err := c.Write(append(line, '\n')); err != nil {
		return err
	}
	if o.mode == "up" {
		err := sendFrames(c, q)
		r.SendMs = ms(time.Since(begin))
		if err != nil {
			return err
		}
		line, err := bufio.NewReader(c).ReadBytes('\n')
		if err != nil {
			return err
		}
		r.Report = new(report)
		if err := json.Unmarshal(line, r.Report); err != nil {
			return err
		}
	} else {
		r.Report = receiveFrames(c, q, begin)
	}
	if r.Report.Err != "" {
		return errors.New(r.Report.Err)
	}
	return nil
}

// newHash is nil if there is no digest.
func (q request) newHash() hash.Hash {
	if q.NoSum {
		return nil
	}
	return sha256.New()
}

// sendFrames sends until the request's limit, then the digest.
func sendFrames(w io.Writer, q request) error {
	noise := make([]byte, 2*frameSize)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise) // never fails
	h := q.newHash()
	frame := make([]byte, headerSize+frameSize)
	end := time.Now().Add(time.Duration(q.DurMs) * time.Millisecond)
	for sent, number := int64(0), 0; q.Bytes == 0 || sent < q.Bytes; number++ {
		n := frameSize
		if q.Bytes > 0 {
			n = int(min(int64(n), max(q.Bytes-sent-headerSize, 1)))
		} else if !time.Now().Before(end) {
			break
		}
		binary.BigEndian.PutUint32(frame, uint32(n))
		binary.BigEndian.PutUint64(frame[4:], uint64(number))
		copy(frame[headerSize:], noise[number*4099%frameSize:][:n])
		b := frame[:headerSize+n]
		if h != nil {
			h.Write(b)
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		sent += int64(len(b))
	}
	tail := make([]byte, 4, 4+sha256.Size)
	if h != nil {
		tail = h.Sum(tail)
	}
	_, err := w.Write(tail[:cap(tail)])
	return err
}

// receiveFrames reads up to the digest.
func receiveFrames(r io.Reader, q request, begin time.Time) *report {
	m := &meter{r: r, begin: begin}
	rep := &report{Sum: "none"}
	if err := m.frames(q, rep); err != nil {
		rep.Err = err.Error()
	}
	rep.Bytes, rep.Bins, rep.Gaps = m.n, m.bins, m.longest()
	if m.n > 0 {
		rep.Ms, rep.FirstMs = ms(m.last.Sub(begin)), ms(m.first.Sub(begin))
	}
	return rep
}

func (m *meter) frames(q request, rep *report) error {
	h := q.newHash()
	buf := make([]byte, headerSize+frameSize)
	br := bufio.NewReaderSize(m, 256<<10)
	for number := uint64(0); ; number++ {
		if _, err := io.ReadFull(br, buf[:4]); err != nil {
			return err
		}
		n := binary.BigEndian.Uint32(buf)
		if n == 0 {
			break
		}
		if n > frameSize {
			return fmt.Errorf("frame of %d bytes: the stream is damaged", n)
		}
		b := buf[:headerSize+n]
		if _, err := io.ReadFull(br, b[4:]); err != nil {
			return err
		}
		if binary.BigEndian.Uint64(b[4:]) != number {
			return errors.New("frames out of order: the stream is damaged")
		}
		if h != nil {
			h.Write(b)
		}
	}
	if _, err := io.ReadFull(br, buf[:sha256.Size]); err != nil || h == nil {
		return err
	}
	rep.Sum = "ok"
	if [sha256.Size]byte(h.Sum(nil)) != [sha256.Size]byte(buf[:sha256.Size]) {
		rep.Sum = "WRONG"
		return errors.New("the digests differ")
	}
	return nil
}

// meter notes when bytes come.
type meter struct {
	r                  io.Reader
	begin, first, last time.Time
	n                  int64
	bins               []int64
	gaps               []gap
}

// Read implements io.Reader.
func (m *meter) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	if n == 0 {
		return n, err
	}
	now := time.Now()
	if m.first.IsZero() {
		m.first = now
	} else if d := now.Sub(m.last); d > 5*time.Millisecond {
		m.gaps = append(m.gaps, gap{ms(m.last.Sub(m.first)), ms(d)})
	}
	m.last = now
	m.n += int64(n)
	bin := int(now.Sub(m.begin) / (100 * time.Millisecond))
	for len(m.bins) <= bin {
		m.bins = append(m.bins, 0)
	}
	m.bins[bin] += int64(n)
	return n, err
}

// longest returns the longest five pauses.
func (m *meter) longest() []gap {
	slices.SortFunc(m.gaps, func(a, b gap) int { return int(b.Ms*1e3) - int(a.Ms*1e3) })
	return m.gaps[:min(5, len(m.gaps))]
}
