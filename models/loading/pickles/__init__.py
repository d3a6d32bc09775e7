"""Pickles and the files of torch, read by a machine that runs nothing of theirs."""
