"""What associative memories can hold: mean fields, simulation in the large, every state of small nets."""
