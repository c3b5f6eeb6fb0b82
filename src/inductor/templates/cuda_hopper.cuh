// Hopper: wgmma, TMA.
