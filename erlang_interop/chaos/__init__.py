"""The chaos ledger: monitors made at random while everything around them breaks, and books that have to balance."""
