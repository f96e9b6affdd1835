package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// frames returns what a sender writes.
func frames(t *testing.T, q request) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, sendFrames(&b, q))
	return b.Bytes()
}

func receive(b []byte, q request) *report {
	return receiveFrames(bytes.NewReader(b), q, time.Now())
}

// What is on the wire is what the rig's own program writes and expects.
func TestFramesOnTheWire(t *testing.T) {
	b := frames(t, request{Bytes: 100_000})
	require.Len(t, b, 100_000+4+32)
	require.EqualValues(t, 65536-12, binary.BigEndian.Uint32(b), "a full frame")
	require.EqualValues(t, 0, binary.BigEndian.Uint64(b[4:]), "its number")
	second := b[65536:]
	require.EqualValues(t, 100_000-65536-12, binary.BigEndian.Uint32(second))
	require.EqualValues(t, 1, binary.BigEndian.Uint64(second[4:]))
	require.Zero(t, binary.BigEndian.Uint32(b[100_000:]), "the end")
}

func TestFramesArrive(t *testing.T) {
	for _, size := range []int64{1, 13, 65535, 65536, 65537, 1_000_000} {
		b := frames(t, request{Bytes: size})
		rep := receive(b, request{})
		require.Empty(t, rep.Err)
		require.Equal(t, "ok", rep.Sum)
		require.EqualValues(t, len(b), rep.Bytes)
	}
	rep := receive(frames(t, request{Bytes: 1000, NoSum: true}), request{NoSum: true})
	require.Empty(t, rep.Err)
	require.Equal(t, "none", rep.Sum)
}

// Whatever is wrong with the stream, the receiver says so.
func TestDamageIsDetected(t *testing.T) {
	good := frames(t, request{Bytes: 200_000})
	change := func(at int, by byte) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= by; return b }
	}
	for name, c := range map[string]struct {
		damage func([]byte) []byte
		err    string
	}{
		"a byte of a frame":  {change(70_000, 1), "digests differ"},
		"a byte of the sum":  {change(len(good)-1, 1), "digests differ"},
		"a length":           {change(0, 0x80), "stream is damaged"},
		"a number":           {change(65536+11, 1), "out of order"},
		"a frame is missing": {func(b []byte) []byte { return b[65536:] }, "out of order"},
		"cut in a frame":     {func(b []byte) []byte { return b[:70_000] }, "unexpected EOF"},
		"cut between frames": {func(b []byte) []byte { return b[:65536] }, "unexpected EOF"},
		"cut in the sum":     {func(b []byte) []byte { return b[:len(b)-1] }, "unexpected EOF"},
	} {
		rep := receive(c.damage(bytes.Clone(good)), request{})
		require.Contains(t, rep.Err, c.err, name)
		require.NotEqual(t, "ok", rep.Sum, name)
	}
}

func TestLines(t *testing.T) {
	var b bytes.Buffer
	want := &report{Bytes: 1, Sum: "ok", Bins: make([]int64, 10_000)} // longer than the reader's buffer
	require.NoError(t, writeLine(&b, want))
	got := new(report)
	require.NoError(t, readLine(bufio.NewReaderSize(&b, 16), got))
	require.Equal(t, want, got)

	err := readLine(bufio.NewReader(strings.NewReader(strings.Repeat("x", 2*maxLine))), got)
	require.ErrorContains(t, err, "does not end")
	require.ErrorIs(t, readLine(bufio.NewReader(strings.NewReader("{")), got), io.EOF)
}
