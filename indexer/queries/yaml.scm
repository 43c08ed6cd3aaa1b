; Keys of the first two levels: grammar.py looks no deeper.

(block_mapping_pair key: (_) @name.key) @def.key

(comment) @attach
