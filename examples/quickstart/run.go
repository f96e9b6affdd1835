package main

import (
	"context"
	"fmt"
	"time"

	"github.com/gomptcp/gomptcp/mptcp"
)

// run builds the network, sends the file from the client to the server, and returns
// what happened. It is the example proper: a host is made, devices are added to it, and
// then it dials and listens as package net does.
func run(ctx context.Context, cfg *config, display *display) (*result, error) {
	src, err := openSource(cfg)
	if err != nil {
		return nil, err
	}
	defer src.Close()

	network, err := newNetwork(cfg)
	if err != nil {
		return nil, err
	}
	defer network.Close()

	// The server is an ordinary net.Listener.
	listener, err := network.server.Listen("tcp", serverAddress)
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	received := make(chan receipt, 1)
	go func() { received <- serve(listener) }()

	// The client dials the server once. The path manager opens the second subflow.
	conn, err := network.client.Dial(ctx, "tcp", serverAddress)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Abort() })()

	display.start(conn, src.size, cfg)
	defer display.stop()
	stopCut := network.scheduleCut(cfg.cut, display.event)
	defer stopCut()

	start := time.Now()
	sent, err := upload(conn, src)
	if err != nil {
		return nil, describe(ctx, err)
	}
	took := time.Since(start)
	display.stop()

	got := <-received
	if got.err != nil {
		return nil, fmt.Errorf("server: %w", got.err)
	}
	// Close and Wait: nil says that the peer has confirmed everything.
	conn.Close()
	if err := conn.Wait(ctx); err != nil {
		return nil, err
	}
	return &result{took: took, sent: sent, got: got, info: conn.Info()}, nil
}

// describe names the interruption, if there was one, as the reason of an error.
func describe(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("client: %w", err)
}

// result is what a run came to.
type result struct {
	took time.Duration // from the first byte to the server's answer
	sent [32]byte      // SHA-256 of what the client sent
	got  receipt
	info mptcp.Info // of the client's connection, at its end
}

// check returns an error unless the server got what the client sent.
func (r *result) check() error {
	if r.sent != r.got.sum {
		return fmt.Errorf("the server received other bytes than were sent: %x, not %x", r.got.sum, r.sent)
	}
	return nil
}
