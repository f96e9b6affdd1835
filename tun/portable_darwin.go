package tun

import "github.com/songgao/water"

func waterConfig(cfg PortableConfig) (water.Config, error) {
	params := water.PlatformSpecificParams{Name: cfg.Name}
	return water.Config{DeviceType: water.TUN, PlatformSpecificParams: params}, nil
}
