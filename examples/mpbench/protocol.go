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
	"time"
)

// A connection carries one test. The client sends a request as a line of JSON; then, for up and
// down, frames go one way: each a length of 4 bytes, a number of 8 and its bytes, up to a
// length of 0 with the SHA-256 of all frames. Of an upload the server then reports, as a line
// of JSON. With echo each message is answered by one that begins with the same 8 bytes.

const (
	headerSize = 12
	// frameSize is the number of bytes in a full frame, header included; maxPayload what a
	// receiver takes beside the header.
	frameSize  = 64 << 10
	maxPayload = 64 << 10
	// minMessage and maxMessage bound the messages of echo.
	minMessage = 8
	maxMessage = 16 << 20
	// maxLine bounds a line of JSON.
	maxLine = 1 << 20
)

// request tells the server what to do.
type request struct {
	Mode  string // "up", "down", "echo"
	Bytes int64  // up, down: how many to send, or 0
	DurMs int64  // up, down: how long to send, if Bytes is 0
	NoSum bool   // no SHA-256
	Req   int    // echo: bytes of message and answer
	Resp  int
}

// newHash is nil if there is no digest.
func (q request) newHash() hash.Hash {
	if q.NoSum {
		return nil
	}
	return sha256.New()
}

// report is what the receiver saw.
type report struct {
	Bytes   int64   // with headers and digest
	Ms      float64 // request to last byte
	FirstMs float64 // request to first byte
	Sum     string  // "ok", "none", "WRONG"
	Bins    []int64 // bytes in each 100 ms since the request
	Gaps    []gap   // the longest five pauses
	Err     string  `json:",omitempty"`
}

// gap is a pause in the stream.
type gap struct {
	AtMs float64 // its begin, since the first byte
	Ms   float64
}

// writeLine writes v as a line of JSON.
func writeLine(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// readLine reads a line of JSON into v.
func readLine(r *bufio.Reader, v any) error {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return json.Unmarshal(line, v)
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		case len(line) > maxLine:
			return errors.New("the line does not end: this is another protocol")
		}
	}
}

// sendFrames sends until the request's limit, then the digest.
func sendFrames(w io.Writer, q request) error {
	noise := make([]byte, 2*frameSize)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise) // never fails
	h := q.newHash()
	frame := make([]byte, frameSize)
	end := time.Now().Add(time.Duration(q.DurMs) * time.Millisecond)
	for sent, number := int64(0), 0; q.Bytes == 0 || sent < q.Bytes; number++ {
		n := frameSize - headerSize
		if q.Bytes > 0 {
			n = int(min(int64(n), max(q.Bytes-sent-headerSize, 1)))
		} else if !time.Now().Before(end) {
			break
		}
		b := frame[:headerSize+n]
		binary.BigEndian.PutUint32(b, uint32(n))
		binary.BigEndian.PutUint64(b[4:], uint64(number))
		copy(b[headerSize:], noise[number*4099%frameSize:])
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

// receiveFrames reads up to the digest. The clock runs from begin.
func receiveFrames(r io.Reader, q request, begin time.Time) *report {
	m := &meter{r: r, begin: begin}
	rep := &report{Sum: "none"}
	if err := checkFrames(m, q, rep); err != nil {
		rep.Err = err.Error()
	}
	m.report(rep)
	return rep
}

// checkFrames returns what is wrong with the stream, and sets the report's Sum.
func checkFrames(r io.Reader, q request, rep *report) error {
	h := q.newHash()
	buf := make([]byte, headerSize+maxPayload)
	br := bufio.NewReaderSize(r, 256<<10)
	for number := uint64(0); ; number++ {
		if _, err := io.ReadFull(br, buf[:4]); err != nil {
			return broken(err)
		}
		n := binary.BigEndian.Uint32(buf)
		if n == 0 {
			break
		}
		if n > maxPayload {
			return fmt.Errorf("frame of %d bytes: the stream is damaged", n)
		}
		b := buf[:headerSize+n]
		if _, err := io.ReadFull(br, b[4:]); err != nil {
			return broken(err)
		}
		if binary.BigEndian.Uint64(b[4:]) != number {
			return errors.New("frames out of order: the stream is damaged")
		}
		if h != nil {
			h.Write(b)
		}
	}
	if _, err := io.ReadFull(br, buf[:sha256.Size]); err != nil || h == nil {
		return broken(err)
	}
	rep.Sum = "ok"
	if [sha256.Size]byte(h.Sum(nil)) != [sha256.Size]byte(buf[:sha256.Size]) {
		rep.Sum = "WRONG"
		return errors.New("the digests differ: the stream is damaged")
	}
	return nil
}

// broken makes of an end of the stream what it is before the digest.
func broken(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
