; Keys of the first two levels; deeper ones are data.

(document (object (pair key: (string (string_content) @name.key)) @def.key))
(document (object (pair value: (object (pair key: (string (string_content) @name.key)) @def.key))))

(comment) @attach
