package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// forwardUnclaimed makes the stack ask Config.AcceptUnclaimed about SYNs for ports
// without listener.
func (s *Stack) forwardUnclaimed() {
	forwarder := tcp.NewForwarder(s.gv, s.receiveBuffer(), s.cfg.MaxUnclaimed, s.acceptUnclaimed)
	s.gv.SetTransportProtocolHandler(tcp.ProtocolNumber, func(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
		const mask = header.TCPFlagSyn | header.TCPFlagAck | header.TCPFlagRst | header.TCPFlagFin
		if header.TCP(pkt.TransportHeader().Slice()).Flags()&mask != header.TCPFlagSyn {
			return false
		}
		local, remote := endsOf(id)
		return s.cfg.AcceptUnclaimed(local, remote) && forwarder.HandlePacket(id, pkt)
	})
}

// acceptUnclaimed completes one handshake, in a goroutine of the forwarder.
func (s *Stack) acceptUnclaimed(r *tcp.ForwarderRequest) {
	if !s.beginUnclaimed() {
		r.Complete(false)
		return
	}
	defer s.unclaimed.Done()
	queue := new(waiter.Queue)
	ep, err := r.CreateEndpoint(queue)
	r.Complete(false)
	if err != nil {
		return // the peer did not go on; gVisor has counted it
	}
	s.cfg.Accepted(s.wrap(ep, queue))
}

// beginUnclaimed adds to the goroutines that Close waits for, unless it waits already.
func (s *Stack) beginUnclaimed() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return false
	}
	s.unclaimed.Add(1)
	return true
}
