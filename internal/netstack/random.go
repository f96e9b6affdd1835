package netstack

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// lockedReader makes a reader safe for concurrent use and its reads whole.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return io.ReadFull(l.r, p)
}

// lockedSource makes a rand.Source safe for concurrent use.
type lockedSource struct {
	mu  sync.Mutex
	src rand.Source
}

func (l *lockedSource) Int63() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.src.Int63()
}

func (l *lockedSource) Seed(seed int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.src.Seed(seed)
}

// seed makes r the origin of both of gVisor's random sources.
func seed(opts *stack.Options, r io.Reader) error {
	secure := &lockedReader{r: r}
	var b [8]byte
	if _, err := secure.Read(b[:]); err != nil {
		return fmt.Errorf("netstack: reading Config.Rand: %w", err)
	}
	opts.SecureRNG = secure
	opts.RandSource = &lockedSource{src: rand.NewSource(int64(binary.LittleEndian.Uint64(b[:])))}
	return nil
}
