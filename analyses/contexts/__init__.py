"""What a network does under each input that it is held at: lines and selection vectors, and the points over a grid."""
