package bench

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
)

// ioSize is the number of bytes given to each Write and Read.
const ioSize = 256 << 10

// job is one transfer over a connection: bytes that are not measured, so that windows and
// buffers reach their size, then bytes that are. The receiver confirms each part with one
// byte, and thus the two parts do not overlap.
type job struct {
	// Down: the data flows to the end that dialled.
	Down bool
	// Warm and Bytes are the sizes of the two parts.
	Warm, Bytes int64
}

const jobSize = 17

// run does the job at the end that dialled. Begin is called before the part that counts,
// end after it.
func (j job) run(c net.Conn, begin, end func()) error {
	var b [jobSize]byte
	if j.Down {
		b[0] = 1
	}
	binary.BigEndian.PutUint64(b[1:], uint64(j.Warm))
	binary.BigEndian.PutUint64(b[9:], uint64(j.Bytes))
	if _, err := c.Write(b[:]); err != nil {
		return err
	}
	return j.carry(c, !j.Down, begin, end)
}

// serve does the job that the other end asks for.
func serve(c net.Conn) error {
	defer c.Close()
	var b [jobSize]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return err
	}
	j := job{
		Down: b[0] == 1,
		Warm: int64(binary.BigEndian.Uint64(b[1:])), Bytes: int64(binary.BigEndian.Uint64(b[9:])),
	}
	if j.Warm < 0 || j.Bytes < 0 {
		return errors.New("bench: no such job")
	}
	if err := j.carry(c, j.Down, func() {}, func() {}); err != nil {
		return err
	}
	_, _ = c.Read(b[:1]) // until the other end closes, in whatever way
	return nil
}

func (j job) carry(c net.Conn, sends bool, begin, end func()) error {
	part := receive
	if sends {
		part = send
	}
	buf := make([]byte, ioSize)
	if err := part(c, buf, j.Warm); err != nil {
		return err
	}
	begin()
	if err := part(c, buf, j.Bytes); err != nil {
		return err
	}
	end()
	return nil
}

func send(c net.Conn, buf []byte, n int64) error {
	for n > 0 {
		m, err := c.Write(buf[:min(n, int64(len(buf)))])
		if err != nil {
			return err
		}
		n -= int64(m)
	}
	_, err := io.ReadFull(c, buf[:1])
	return err
}

func receive(c net.Conn, buf []byte, n int64) error {
	for n > 0 {
		m, err := c.Read(buf[:min(n, int64(len(buf)))])
		if err != nil {
			return err
		}
		n -= int64(m)
	}
	_, err := c.Write(buf[:1])
	return err
}
