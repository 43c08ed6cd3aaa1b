; Keys of the first two levels: grammar.py looks no deeper.

(pair key: (string (string_content) @name.key)) @def.key
