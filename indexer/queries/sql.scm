(create_table (object_reference name: (identifier) @name.table)) @def.table
(create_view (object_reference name: (identifier) @name.table)) @def.table
(create_materialized_view (object_reference name: (identifier) @name.table)) @def.table
(create_function (object_reference name: (identifier) @name.function)) @def.function
(create_procedure (object_reference name: (identifier) @name.function)) @def.function
(create_trigger (keyword_trigger) . (object_reference name: (identifier) @name.function)) @def.function
(create_type (object_reference name: (identifier) @name.type)) @def.type
(create_index column: (identifier) @name.key) @def.key
(create_sequence (object_reference name: (identifier) @name.variable)) @def.variable
(create_schema (identifier) @name.module) @def.module
(create_database (identifier) @name.module) @def.module
(column_definition name: (identifier) @name.field) @def.field
(cte (identifier) @name.table) @def.table

(function_argument (identifier) @local)
(relation alias: (identifier) @local)
(invocation (object_reference name: (identifier) @ref.call))
(insert (object_reference name: (identifier) @ref.write))
(update (relation (object_reference name: (identifier) @ref.write)))
(relation (object_reference name: (identifier) @ref.type))
(column_definition (object_reference name: (identifier) @ref.type))
(field name: (identifier) @member.read)
(identifier) @ref.read

(comment) @attach
