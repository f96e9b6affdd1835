package pathmgr

import (
	"testing"
	"time"
)

func TestFullmeshClient(t *testing.T) {
	c := established(t, Fullmesh(), Client, false, "10.0.0.1", "198.51.100.1", "127.0.0.1", "10.9.0.1")
	c.opens("198.51.100.1 > "+server, "10.9.0.1 > "+server)
	c.tells("announce 198.51.100.1:0")
	c.event(RemoteAddrUp{2, ap("192.0.2.2:443")})
	c.opens("10.0.0.1 > 192.0.2.2:443", "198.51.100.1 > 192.0.2.2:443", "10.9.0.1 > 192.0.2.2:443")
}

// 8684-3.9.2-03: a server joins the addresses that a client announced, unless the client comes from there first.
func TestFullmeshServer(t *testing.T) {
	c := established(t, Fullmesh(), Server, false, "10.0.0.1", "198.51.100.1")
	c.tells("announce 198.51.100.1:0")
	c.event(RemoteAddrUp{2, ap("192.0.2.2:443")})
	c.event(RemoteAddrUp{3, ap("192.0.2.3:443")})
	c.event(SubflowUp{ID: 2, Local: ap("10.0.0.1:443"), Remote: ap("192.0.2.2:40000"), RemoteID: 2, Incoming: true})
	c.pass(fullmeshHeadStart - time.Millisecond)
	c.opens()
	c.pass(time.Millisecond)
	c.opens("198.51.100.1 > 192.0.2.2:443", "10.0.0.1 > 192.0.2.3:443", "198.51.100.1 > 192.0.2.3:443")
	c.lost(1, "10.0.0.1", server)
	c.pass(time.Hour)
	c.opens() // the client's port takes none
}

func TestNDiffPorts(t *testing.T) {
	c := established(t, NDiffPorts(4)(), Client, false, "10.0.0.1", "10.1.0.1")
	c.opens("10.0.0.1 > "+server, "10.0.0.1 > "+server, "10.0.0.1 > "+server)
	ids := []uint32{1, c.up("10.0.0.1", server), c.up("10.0.0.1", server)}
	c.event(RemoteAddrUp{2, ap("192.0.2.2:443")})
	c.event(LocalAddrUp{Addr: ip("10.2.0.1")})
	c.failed("10.0.0.1", server)
	c.opens()
	c.pass(firstBackoff * 5 / 4)
	c.opens("10.0.0.1 > " + server)
	c.up("10.0.0.1", server)

	// Each is replaced when it is lost.
	c.pass(time.Minute)
	for _, id := range ids {
		c.lost(id, "10.0.0.1", server)
		c.opens()
		c.pass(firstBackoff * 5 / 4)
		c.opens("10.0.0.1 > " + server)
		c.up("10.0.0.1", server)
	}
	c.tells()

	// The address goes and comes back: at once, all of them.
	c.event(LocalAddrDown{ip("10.0.0.1")})
	c.tells("withdraw [10.0.0.1]")
	c.opens()
	c.event(LocalAddrUp{Addr: ip("10.0.0.1")})
	c.opens("10.0.0.1 > "+server, "10.0.0.1 > "+server, "10.0.0.1 > "+server, "10.0.0.1 > "+server)
}

// Whoever does not want further subflows to its initial address gets none; a server opens none.
func TestNDiffPortsDenied(t *testing.T) {
	established(t, NDiffPorts(4)(), Client, true, "10.0.0.1").opens()
	c := established(t, NDiffPorts(4)(), Server, false, "10.0.0.1", "198.51.100.1")
	c.opens()
	c.tells()
	established(t, NDiffPorts(-1)(), Client, false, "10.0.0.1").opens()
}

// 8684-3.2-07, 8684-3.3.8-03: one path is in use, the others are ready.
func TestBackup(t *testing.T) {
	c := established(t, Backup(), Client, false, "10.0.0.1", "10.1.0.1", "10.2.0.1")
	c.opens("10.1.0.1 > "+server+" backup", "10.2.0.1 > "+server+" backup")
	c.pass(time.Second)
	two := c.upBackup("10.2.0.1", server)
	c.pass(time.Second)
	one := c.upBackup("10.1.0.1", server)
	c.tells()

	// The one in use ends: the oldest backup takes its place, and keeps it.
	c.lost(1, "10.0.0.1", server)
	c.tells("regular 2")
	c.pass(time.Second)
	c.opens("10.0.0.1 > " + server + " backup")
	c.upBackup("10.0.0.1", server)
	c.tells()

	// Also when a device goes.
	c.event(LocalAddrDown{ip("10.2.0.1")})
	c.tells("withdraw [10.2.0.1]", "regular 3")
	c.lost(two, "10.2.0.1", server)
	c.tells()

	// A subflow of the peer's that is no backup does as well.
	c.event(SubflowUp{ID: 9, Local: ap("10.0.0.1:50000"), Remote: ap("192.0.2.2:40000"), Incoming: true})
	c.lost(one, "10.1.0.1", server)
	c.tells()
	c.event(SubflowDown{ID: 9, Local: ap("10.0.0.1:50000"), Remote: ap("192.0.2.2:40000"), Established: true})
	c.tells("regular 4")
}

// What comes back when nothing is left is used at once.
func TestBackupAfterBreak(t *testing.T) {
	c := established(t, Backup(), Client, false, "10.0.0.1")
	c.lost(1, "10.0.0.1", server)
	c.opens("10.0.0.1 > " + server + " backup")
	c.upBackup("10.0.0.1", server)
	c.tells("regular 2")
}

func TestBackupServer(t *testing.T) {
	c := established(t, Backup(), Server, false, "10.0.0.1", "198.51.100.1")
	c.tells("announce 198.51.100.1:0")
	c.event(SubflowUp{ID: 2, Local: ap("10.0.0.1:443"), Remote: ap("192.0.2.2:40000"), Incoming: true, Backup: true})
	c.lost(1, "10.0.0.1", server)
	c.tells()
	c.opens()
}

func TestManualAndNone(t *testing.T) {
	for _, f := range []Factory{Manual, None} {
		c := established(t, f(), Client, false, "10.0.0.1", "10.1.0.1")
		c.event(RemoteAddrUp{2, ap("192.0.2.2:443")})
		c.event(LocalAddrDown{ip("10.0.0.1")})
		c.lost(1, "10.0.0.1", server)
		c.pass(time.Hour)
		c.opens()
		c.tells()
	}
}
