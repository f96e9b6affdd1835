package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gomptcp/gomptcp/mptcp"
)

// result is what a client prints, as the rig's bench.Result.
type result struct {
	Mode      string
	ConnectMs float64
	TotalMs   float64     // dial to end, the report included
	SendMs    float64     `json:",omitempty"` // up: first to last Write
	Report    *report     `json:",omitempty"` // up, down: of the receiver
	Lat       []float64   `json:",omitempty"` // echo: ms each, in order
	Quantiles *quantiles  `json:",omitempty"` // echo: of Lat
	Info      *mptcp.Info `json:",omitempty"` // of the connection at its end
	Err       string      `json:",omitempty"`
	Start     time.Time
}

// measure connects and runs the test. While it runs, shown(conn) shows the progress; it returns
// what ends that.
func measure(ctx context.Context, cfg *config, host *mptcp.Host, shown func(*mptcp.Conn) (end func())) (res result) {
	res = result{Mode: cfg.mode, Start: time.Now()}
	if cfg.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, cfg.timeout, fmt.Errorf("not done in %v (-timeout)", cfg.timeout))
		defer cancel()
	}
	conn, err := host.Dial(ctx, "tcp", cfg.address)
	if err != nil {
		res.Err = because(ctx, err).Error()
		res.TotalMs = ms(time.Since(res.Start))
		return res
	}
	res.ConnectMs = ms(time.Since(res.Start))
	stopAbort := context.AfterFunc(ctx, func() { _ = conn.Abort() })
	end := shown(conn)
	time.Sleep(cfg.afterConnect)
	err = res.transfer(conn, cfg)
	end()
	info := conn.Info()
	res.Info, res.TotalMs = &info, ms(time.Since(res.Start))
	if err != nil {
		res.Err = because(ctx, err).Error()
	}
	stopAbort()
	closeInOrder(conn)
	return res
}

// because returns the reason why ctx ended if it has, since that is what made err happen.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// closeInOrder lets the server see an orderly end, before the host goes, which resets what there is.
func closeInOrder(conn *mptcp.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := conn.Close(); err == nil {
		_ = conn.Wait(ctx) // the test is over
	}
}

// transfer runs the test over a connection and notes what came out.
func (res *result) transfer(c net.Conn, cfg *config) error {
	begin := time.Now()
	if err := writeLine(c, cfg.request); err != nil {
		return err
	}
	switch cfg.mode {
	case "up":
		err := sendFrames(c, cfg.request)
		res.SendMs = ms(time.Since(begin))
		if err != nil {
			return err
		}
		rep := new(report)
		if err := readLine(bufio.NewReader(c), rep); err != nil {
			return fmt.Errorf("no report: %w", broken(err))
		}
		res.Report = rep
	case "down":
		res.Report = receiveFrames(c, cfg.request, begin)
	case "echo":
		return res.exchange(c, cfg)
	}
	if res.Report.Err != "" {
		return errors.New(res.Report.Err)
	}
	return nil
}

// exchange sends messages, each after the answer to the one before.
func (res *result) exchange(c net.Conn, cfg *config) error {
	defer func() { res.Quantiles = newQuantiles(res.Lat) }()
	req, resp := make([]byte, cfg.request.Req), make([]byte, cfg.request.Resp)
	for number := range uint64(cfg.count) {
		binary.BigEndian.PutUint64(req, number+1)
		begin := time.Now()
		if _, err := c.Write(req); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, resp); err != nil {
			return broken(err)
		}
		took := time.Since(begin)
		if binary.BigEndian.Uint64(resp) != number+1 {
			return errors.New("an answer to another message: the stream is damaged")
		}
		res.Lat = append(res.Lat, ms(took))
		time.Sleep(cfg.interval - took)
	}
	return nil
}
