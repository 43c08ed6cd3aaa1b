; Tables and their keys; grammar.py looks no deeper.

(table . [(bare_key) (dotted_key) (quoted_key)] @name.key)
(table) @def.key
(table_array_element . [(bare_key) (dotted_key) (quoted_key)] @name.key)
(table_array_element) @def.key
(pair . [(bare_key) (dotted_key) (quoted_key)] @name.key) @def.key

(comment) @attach
