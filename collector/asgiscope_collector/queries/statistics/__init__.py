"""Pure computations: significance, quantiles of histograms, packing of bars."""
