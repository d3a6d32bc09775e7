"""ONNX graphs: the recurrent operators, and the products after them."""
