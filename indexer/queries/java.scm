(class_declaration name: (identifier) @name.class) @def.class
(record_declaration name: (identifier) @name.class) @def.class
(interface_declaration name: (identifier) @name.interface) @def.interface
(annotation_type_declaration name: (identifier) @name.interface) @def.interface
(enum_declaration name: (identifier) @name.enum) @def.enum
(enum_constant name: (identifier) @name.constant) @def.constant
(method_declaration name: (identifier) @name.method) @def.method
(annotation_type_element_declaration name: (identifier) @name.method) @def.method
(constructor_declaration name: (identifier) @name.method) @def.method
(compact_constructor_declaration name: (identifier) @name.method) @def.method
(field_declaration declarator: (variable_declarator name: (identifier) @name.field)) @def.field
(field_declaration) @def.constant
(field_declaration (modifiers "final") declarator: (variable_declarator name: (identifier) @name.constant
  value: (_)))
(constant_declaration declarator: (variable_declarator name: (identifier) @name.constant)) @def.constant
(record_declaration parameters: (formal_parameters (formal_parameter name: (identifier) @name.field) @def.field))
(package_declaration [(scoped_identifier) (identifier)] @name.module) @def.module
(module_declaration name: (_) @name.module) @def.module

(formal_parameter name: (identifier) @local)
(spread_parameter (variable_declarator name: (identifier) @local))
(local_variable_declaration declarator: (variable_declarator name: (identifier) @local))
(enhanced_for_statement name: (identifier) @local)
(catch_formal_parameter name: (identifier) @local)
(resource name: (identifier) @local)
(lambda_expression parameters: (identifier) @local)
(inferred_parameters (identifier) @local)
(instanceof_expression name: (identifier) @local)
(type_parameter (type_identifier) @local)

(import_declaration (_) @ref.import)
(import_declaration (scoped_identifier name: (identifier) @ref.import))
(superclass [(type_identifier) @ref.inherit (generic_type (type_identifier) @ref.inherit)])
(super_interfaces (type_list [(type_identifier) @ref.inherit (generic_type . (type_identifier) @ref.inherit)]))
(extends_interfaces (type_list [(type_identifier) @ref.inherit (generic_type . (type_identifier) @ref.inherit)]))
(method_invocation name: (identifier) @ref.call)
(method_reference (identifier) @ref.call .)
(object_creation_expression type: [
  (type_identifier) @ref.call
  (generic_type . (type_identifier) @ref.call)
  (scoped_type_identifier (type_identifier) @ref.call .)])
(annotation name: (identifier) @ref.call)
(marker_annotation name: (identifier) @ref.call)
(assignment_expression left: [(identifier) @ref.write (field_access field: (identifier) @member.write)])
(update_expression [(identifier) @ref.write (field_access field: (identifier) @member.write)])
(field_access field: (identifier) @member.read)
(element_value_pair key: (identifier) @ref.other)
(type_identifier) @ref.type
(identifier) @ref.read

(line_comment) @attach
(block_comment) @attach
