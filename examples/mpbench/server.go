package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// serve answers connections until ctx ends, and prints a line for each upload.
func serve(ctx context.Context, l net.Listener, out io.Writer) error {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		go func() {
			defer c.Close()
			err := answer(c, func(rep *report) {
				fmt.Fprintf(out, "%s %v up: %s\n", time.Now().Format("15:04:05.000"), c.RemoteAddr(), rep)
			})
			if err != nil && ctx.Err() == nil {
				fmt.Fprintf(out, "%s %v: %v\n", time.Now().Format("15:04:05.000"), c.RemoteAddr(), err)
			}
		}()
	}
}

// answer does what the client asks for. It tells uploaded of an upload, also one that broke off.
func answer(c net.Conn, uploaded func(*report)) error {
	br := bufio.NewReaderSize(c, 64<<10)
	var q request
	if err := readLine(br, &q); err != nil {
		return fmt.Errorf("no request: %w", broken(err))
	}
	switch q.Mode {
	case "up":
		rep := receiveFrames(br, q, time.Now())
		uploaded(rep)
		if err := writeLine(c, rep); err != nil {
			return err
		}
	case "down":
		if err := sendFrames(c, q); err != nil {
			return err
		}
	case "echo":
		return answerMessages(br, c, q)
	default:
		return fmt.Errorf("the client asks for %q, which is not known", q.Mode)
	}
	_, _ = br.ReadByte() // the client closes first
	return nil
}

// answerMessages answers one after another until the client has enough.
func answerMessages(r io.Reader, w io.Writer, q request) error {
	if min(q.Req, q.Resp) < minMessage || max(q.Req, q.Resp) > maxMessage {
		return fmt.Errorf("the client asks for messages of %d and %d bytes", q.Req, q.Resp)
	}
	req, resp := make([]byte, q.Req), make([]byte, q.Resp)
	for {
		if _, err := io.ReadFull(r, req); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		copy(resp, req[:minMessage])
		if _, err := w.Write(resp); err != nil {
			return err
		}
	}
}
