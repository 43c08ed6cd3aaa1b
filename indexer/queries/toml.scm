(table . [(bare_key) (dotted_key) (quoted_key)] @name.key) @def.key
(table_array_element . [(bare_key) (dotted_key) (quoted_key)] @name.key) @def.key
(document (pair . [(bare_key) (dotted_key) (quoted_key)] @name.key) @def.key)
(table (pair . [(bare_key) (dotted_key) (quoted_key)] @name.key) @def.key)
(table_array_element (pair . [(bare_key) (dotted_key) (quoted_key)] @name.key) @def.key)

(comment) @attach
