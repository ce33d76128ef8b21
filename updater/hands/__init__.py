"""They touch and never decide: USB, the network, the disk, this computer."""
