"""Trained vanilla, gated and LSTM networks with torch's names."""
