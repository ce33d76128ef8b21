"""USB DFU 1.1 and DfuSe, as words, layout strings and scripts."""
