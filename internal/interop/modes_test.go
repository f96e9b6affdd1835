//go:build linux

package interop

import (
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The modes are ways to use a socket of the kernel, as those of mptcp_connect's option -m.

// pollMode reads and writes a little when poll(2) says so.
func pollMode(t testing.TB, c Conn) Conn { return &polled{raw(t, c)} }

// mmapMode writes from a mapped file.
func mmapMode(t testing.TB, c Conn) Conn {
	mapped, err := unix.Mmap(memfile(t), 0, bufSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Munmap(mapped) })
	return &written{c, func(p []byte) (int, error) { return c.Write(mapped[:copy(mapped, p)]) }}
}

// sendfileMode writes with sendfile(2).
func sendfileMode(t testing.TB, c Conn) Conn {
	file, s := memfile(t), raw(t, c)
	return &written{c, func(p []byte) (int, error) {
		n, err := unix.Pwrite(file, p, 0)
		if err != nil {
			return 0, err
		}
		offset := int64(0)
		for offset < int64(n) {
			if err := s.await(unix.POLLOUT); err != nil {
				return int(offset), err
			}
			if _, err := unix.Sendfile(s.fd, file, &offset, n-int(offset)); err != nil && err != unix.EAGAIN {
				return int(offset), err
			}
		}
		return n, nil
	}}
}

// spliceMode reads and writes through a pipe.
func spliceMode(t testing.TB, c Conn) Conn {
	s := &spliced{rawConn: raw(t, c)}
	for _, p := range []*[2]int{&s.in, &s.out} {
		require.NoError(t, unix.Pipe2(p[:], unix.O_CLOEXEC))
		t.Cleanup(func() {
			unix.Close(p[0])
			unix.Close(p[1])
		})
	}
	return s
}

// bufSize is what an Exchange writes and reads at once, and more than a pipe holds.
const bufSize = 256 << 10

// memfile is a file in memory of bufSize bytes.
func memfile(t testing.TB) int {
	fd, err := unix.MemfdCreate("interop", unix.MFD_CLOEXEC)
	require.NoError(t, err)
	require.NoError(t, unix.Ftruncate(fd, bufSize))
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// written is a connection with another way to write.
type written struct {
	Conn
	write func(p []byte) (int, error)
}

// Write implements net.Conn: all of p, in pieces of bufSize.
func (w *written) Write(p []byte) (done int, err error) {
	for done < len(p) && err == nil {
		var n int
		n, err = w.write(p[done:min(done+bufSize, len(p))])
		done += n
	}
	return done, err
}

// rawConn is a connection of the kernel by its file descriptor, in non-blocking mode.
type rawConn struct {
	Conn
	fd int
}

// raw gives the descriptor of a connection, beside the runtime's own use of it.
func raw(t testing.TB, c Conn) rawConn {
	sc, err := c.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	r := rawConn{Conn: c}
	require.NoError(t, sc.Control(func(fd uintptr) { r.fd, err = unix.Dup(int(fd)) }))
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(r.fd) })
	return r
}

// await waits with poll(2) until an event is there.
func (r *rawConn) await(event int16) error {
	fds := []unix.PollFd{{Fd: int32(r.fd), Events: event}}
	for {
		n, err := unix.Poll(fds, int(patience/time.Millisecond))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case n == 0:
			return os.ErrDeadlineExceeded
		default:
			return nil
		}
	}
}

// polled is a connection used with poll(2).
type polled struct{ rawConn }

// Read implements net.Conn.
func (p *polled) Read(b []byte) (int, error) {
	return p.retry(unix.POLLIN, func() (int, error) { return unix.Read(p.fd, b) })
}

// Write implements net.Conn.
func (p *polled) Write(b []byte) (done int, err error) {
	for done < len(b) && err == nil {
		var n int
		n, err = p.retry(unix.POLLOUT, func() (int, error) { return unix.Write(p.fd, b[done:]) })
		done += n
	}
	return done, err
}

// retry does something when an event is there, until it succeeds or fails for good. No bytes
// are the end of the stream.
func (r *rawConn) retry(event int16, f func() (int, error)) (int, error) {
	for {
		if err := r.await(event); err != nil {
			return 0, err
		}
		n, err := f()
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// spliced is a connection used with splice(2).
type spliced struct {
	rawConn
	in, out [2]int // pipes
}

// Read implements net.Conn.
func (s *spliced) Read(b []byte) (int, error) {
	n, err := s.retry(unix.POLLIN, func() (int, error) {
		n, err := unix.Splice(s.fd, nil, s.in[1], nil, len(b), unix.SPLICE_F_NONBLOCK)
		return int(n), err
	})
	if err != nil {
		return 0, err
	}
	return io.ReadFull(fdReader(s.in[0]), b[:n])
}

// Write implements net.Conn.
func (s *spliced) Write(b []byte) (done int, err error) {
	const piece = 32 << 10 // what fits a pipe for certain
	for done < len(b) {
		n, err := unix.Write(s.out[1], b[done:min(done+piece, len(b))])
		if err != nil {
			return done, err
		}
		for n > 0 {
			moved, err := s.retry(unix.POLLOUT, func() (int, error) {
				m, err := unix.Splice(s.out[0], nil, s.fd, nil, n, unix.SPLICE_F_NONBLOCK)
				return int(m), err
			})
			if err != nil {
				return done, err
			}
			n, done = n-moved, done+moved
		}
	}
	return done, nil
}

type fdReader int

// Read implements io.Reader.
func (r fdReader) Read(p []byte) (int, error) { return unix.Read(int(r), p) }

// socket is a blocking MPTCP socket of the kernel, which connects and disconnects.
type socket struct {
	fd       int
	family   Family
	net.Conn // nil: what an Exchange does not need is not there
}

// socket makes one in the namespace.
func (ns *Namespace) socket(t testing.TB, f Family) *socket {
	domain := unix.AF_INET
	if f.bits == 64 {
		domain = unix.AF_INET6
	}
	s := &socket{family: f}
	require.NoError(t, ns.Do(func() (err error) {
		s.fd, err = unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
		return err
	}))
	t.Cleanup(func() { s.Close() })
	return s
}

// Connect connects to the library.
func (s *socket) Connect(to netip.Addr) error {
	if to.Is4() {
		return unix.Connect(s.fd, &unix.SockaddrInet4{Port: port, Addr: to.As4()})
	}
	return unix.Connect(s.fd, &unix.SockaddrInet6{Port: port, Addr: to.As16()})
}

// Disconnect makes the socket fit for another Connect: connect(2) to no family.
func (s *socket) Disconnect() error {
	none := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	if _, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(s.fd), uintptr(unsafe.Pointer(&none)), unix.SizeofSockaddrInet4); errno != 0 {
		return errno
	}
	return nil
}

// Read implements net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	n, err := unix.Read(s.fd, p)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}

// Write implements net.Conn.
func (s *socket) Write(p []byte) (int, error) {
	n, err := unix.Write(s.fd, p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return max(n, 0), err
}

// Close implements net.Conn.
func (s *socket) Close() error {
	fd := s.fd
	s.fd = -1
	return unix.Close(fd)
}

// CloseWrite implements Conn.
func (s *socket) CloseWrite() error { return unix.Shutdown(s.fd, unix.SHUT_WR) }

// SetDeadline ends all that waits: no other deadline is asked for.
func (s *socket) SetDeadline(time.Time) error { return unix.Shutdown(s.fd, unix.SHUT_RDWR) }
