; Keys of the first two levels; deeper ones are data.

(document (block_node (block_mapping (block_mapping_pair key: (_) @name.key) @def.key)))
(document (block_node (block_mapping (block_mapping_pair
  value: (block_node (block_mapping (block_mapping_pair key: (_) @name.key) @def.key))))))
(anchor (anchor_name) @name.variable) @def.variable
(alias (alias_name) @ref.read)

(comment) @attach
