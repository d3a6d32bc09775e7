"""Tools that know no network: linear algebra without matrices, rounding, threads, time."""
