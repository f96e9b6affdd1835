//go:build !linux && !darwin && !windows

package tun

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/songgao/water"
)

func waterConfig(PortableConfig) (water.Config, error) {
	return water.Config{}, fmt.Errorf("tun: no TUN interface on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
