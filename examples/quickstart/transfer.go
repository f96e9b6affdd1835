package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"github.com/gomptcp/gomptcp/mptcp"
)

// source is what is sent.
type source struct {
	io.Reader
	io.Closer
	size int64
}

// openSource opens -file, or generates -size megabytes from a fixed seed.
func openSource(cfg *config) (*source, error) {
	if cfg.file == "" {
		return &source{io.LimitReader(rand.NewChaCha8([32]byte{1}), cfg.size), io.NopCloser(nil), cfg.size}, nil
	}
	f, err := os.Open(cfg.file)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &source{f, f, info.Size()}, nil
}

// upload sends everything, half closes, and waits for the server's answer: the SHA-256
// of what it received. It returns the SHA-256 of what was sent.
func upload(conn *mptcp.Conn, src io.Reader) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	buf := make([]byte, 256<<10)
	if _, err := io.CopyBuffer(conn, io.TeeReader(src, h), buf); err != nil {
		return sum, err
	}
	if err := conn.CloseWrite(); err != nil {
		return sum, err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, sha256.Size+1))
	if err != nil {
		return sum, err
	}
	if len(answer) != sha256.Size {
		return sum, fmt.Errorf("the server answered with %d bytes instead of %d", len(answer), sha256.Size)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// receipt is what the server saw.
type receipt struct {
	bytes int64
	sum   [sha256.Size]byte
	// longestStall is the longest time in which no byte arrived, the start left out.
	longestStall time.Duration
	err          error
}

// serve accepts one connection, reads it to its end, and answers with the SHA-256.
func serve(l net.Listener) (r receipt) {
	conn, err := l.Accept()
	if err != nil {
		return receipt{err: err}
	}
	defer conn.Close()
	h := sha256.New()
	buf := make([]byte, 256<<10)
	var last time.Time
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			now := time.Now()
			if !last.IsZero() {
				r.longestStall = max(r.longestStall, now.Sub(last))
			}
			last = now
			r.bytes += int64(n)
			h.Write(buf[:n])
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.err = err
			return r
		}
	}
	r.sum = [sha256.Size]byte(h.Sum(nil))
	_, r.err = conn.Write(r.sum[:])
	return r
}
