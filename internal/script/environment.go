package script

import (
	"io"
	"sync"

	"github.com/gomptcp/gomptcp/internal/clock"
	"github.com/gomptcp/gomptcp/option"
)

// WithKey is an environment whose host draws key for its first connection.
func WithKey(env clock.Environment, key option.Key) clock.Environment {
	return &withKey{Environment: env, key: key}
}

type withKey struct {
	clock.Environment
	mu    sync.Mutex // guards what follows
	key   option.Key
	given bool
}

// Rand implements clock.Environment. The first source is the one from which an mptcp.Host
// draws its keys.
func (e *withKey) Rand() io.Reader {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := &keyFirst{then: e.Environment.Rand()}
	if !e.given {
		e.given, r.key = true, e.key[:]
	}
	return r
}

// keyFirst gives the bytes of a key before others.
type keyFirst struct {
	mu   sync.Mutex // guards key
	key  []byte
	then io.Reader
}

func (r *keyFirst) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.key) == 0 {
		return r.then.Read(p)
	}
	n := copy(p, r.key)
	r.key = r.key[n:]
	return n, nil
}
