package uplink

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// tableFamilies are those of our tables.
var tableFamilies = map[string]nftables.TableFamily{"ip": nftables.TableFamilyIPv4, "ip6": nftables.TableFamilyIPv6}

// addTable makes the table of a step, all at once.
func addTable(s natStep) error {
	c, err := nftables.New()
	if err != nil {
		return explainNFT(err)
	}
	t := c.AddTable(&nftables.Table{Name: s.slot.name(), Family: tableFamilies[s.family()]})
	post := c.AddChain(&nftables.Chain{
		Name: chainPost, Table: t, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityRef(priorityPost),
	})
	c.AddRule(&nftables.Rule{Table: t, Chain: post, Exprs: masquerade(s)})
	if len(s.forward) > 0 {
		pre := c.AddChain(&nftables.Chain{
			Name: chainPre, Table: t, Type: nftables.ChainTypeNAT,
			Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRef(priorityPre),
		})
		for _, f := range s.forward {
			c.AddRule(&nftables.Rule{Table: t, Chain: pre, Exprs: destinationNAT(s, f)})
		}
	}
	if len(s.notes) > 0 {
		notes := c.AddChain(&nftables.Chain{Name: chainNotes, Table: t})
		for _, n := range s.notes {
			c.AddRule(&nftables.Rule{
				Table: t, Chain: notes, Exprs: []expr.Any{&expr.Counter{}},
				UserData: userdata.AppendString(nil, userdata.TypeComment, n.note()),
			})
		}
	}
	return explainNFT(c.Flush())
}

func explainNFT(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("nftables: %w", err)
	}
	return fmt.Errorf("nftables (the kernel needs nf_tables with nat and masq; modprobe nft_masq): %w", err)
}

// deleteTable removes a table with all that is in it.
func deleteTable(family, name string) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	c.DelTable(&nftables.Table{Name: name, Family: tableFamilies[family]})
	return c.Flush()
}

// masquerade gives packets of the host that leave by the uplink its address.
func masquerade(s natStep) []expr.Any {
	const source4, source6 = 12, 8 // offsets in the IP header
	offset := uint32(source4)
	if s.host.Is6() {
		offset = source6
	}
	address := s.host.AsSlice()
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(len(address))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: address},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: ifname(s.uplink)},
		&expr.Masq{},
	}
}

// destinationNAT sends what comes to a port of the uplink to the host.
func destinationNAT(s natStep, f Forward) []expr.Any {
	const destinationPort = 2 // offset in the TCP header
	family := uint32(unix.NFPROTO_IPV4)
	if s.host.Is6() {
		family = unix.NFPROTO_IPV6
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: ifname(s.uplink)},
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.NativeEndian.AppendUint32(nil, unix.RTN_LOCAL)},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: destinationPort, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, f.Port)},
		&expr.Immediate{Register: 1, Data: s.host.AsSlice()},
		&expr.Immediate{Register: 2, Data: binary.BigEndian.AppendUint16(nil, f.To)},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: family, RegAddrMin: 1, RegProtoMin: 2},
	}
}

// ifname is an interface's name as nftables compares it.
func ifname(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

// slotTable is an nftables table of ours with its notes.
type slotTable struct {
	slot   slot
	family string
	notes  map[string]string
}

// tables lists the tables of ours that there are.
func tables() ([]slotTable, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, explainNFT(err)
	}
	var list []slotTable
	for family, number := range tableFamilies {
		all, err := c.ListTablesOfFamily(number)
		if err != nil {
			return nil, explainNFT(err)
		}
		for _, t := range all {
			s, ok := parseSlot(t.Name)
			if !ok {
				continue
			}
			notes := map[string]string{}
			// A table without the chain has no notes.
			rules, _ := c.GetRules(t, &nftables.Chain{Name: chainNotes, Table: t})
			for _, r := range rules {
				text, _ := userdata.GetString(r.UserData, userdata.TypeComment)
				if name, old, ok := parseNote(text); ok {
					notes[name] = old
				}
			}
			list = append(list, slotTable{s, family, notes})
		}
	}
	return list, nil
}

// blockers names the chains that drop what is forwarded and not accepted by them.
func blockers() (names []string) {
	c, err := nftables.New()
	if err != nil {
		return nil
	}
	chains, _ := c.ListChains()
	for _, ch := range chains {
		if ch.Hooknum != nil && *ch.Hooknum == *nftables.ChainHookForward && ch.Type == nftables.ChainTypeFilter &&
			ch.Policy != nil && *ch.Policy == nftables.ChainPolicyDrop {
			names = append(names, ch.Table.Name+" "+ch.Name)
		}
	}
	return names
}
