package tun

import (
	"errors"

	"github.com/songgao/water"
)

func waterConfig(cfg PortableConfig) (water.Config, error) {
	if !cfg.Network.IsValid() {
		return water.Config{}, errors.New("tun: PortableConfig.Network is required on Windows: set the interface's address and network")
	}
	return water.Config{DeviceType: water.TUN, PlatformSpecificParams: water.PlatformSpecificParams{
		ComponentID:   "tap0901",
		InterfaceName: cfg.Name,
		Network:       cfg.Network.String(),
	}}, nil
}
