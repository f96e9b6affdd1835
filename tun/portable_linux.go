package tun

import (
	"net"

	"github.com/songgao/water"
)

func waterConfig(cfg PortableConfig) (water.Config, error) {
	params := water.PlatformSpecificParams{Name: cfg.Name}
	if cfg.Name != "" {
		// An interface that was there before is left there: water takes the
		// persistence away unless asked for it.
		_, err := net.InterfaceByName(cfg.Name)
		params.Persist = err == nil
	}
	return water.Config{DeviceType: water.TUN, PlatformSpecificParams: params}, nil
}
