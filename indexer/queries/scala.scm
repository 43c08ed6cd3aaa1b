(class_definition name: (identifier) @name.class) @def.class
(object_definition name: (identifier) @name.class) @def.class
(package_object name: (identifier) @name.class) @def.class
(trait_definition name: (identifier) @name.trait) @def.trait
(enum_definition name: (identifier) @name.enum) @def.enum
(simple_enum_case name: (identifier) @name.constant) @def.constant
(full_enum_case name: (identifier) @name.constant) @def.constant
(function_definition name: (_) @name.function) @def.function
(function_declaration name: (_) @name.function) @def.function
(given_definition name: (identifier) @name.variable) @def.variable
(type_definition name: (type_identifier) @name.type) @def.type
(val_definition pattern: (identifier) @name.variable) @def.variable
(var_definition pattern: (identifier) @name.variable) @def.variable
(template_body (val_definition pattern: (identifier) @name.field) @def.field)
(template_body (var_definition pattern: (identifier) @name.field) @def.field)
(val_declaration name: (identifier) @name.field) @def.field
(var_declaration name: (identifier) @name.field) @def.field
(class_parameter ["val" "var"] name: (identifier) @name.field) @def.field
(package_clause name: (package_identifier) @name.module) @def.module

(parameter name: (identifier) @local)
(class_parameter name: (identifier) @local)
(lambda_expression parameters: (identifier) @local)
(bindings (binding name: (identifier) @local))
(enumerator . (identifier) @local)
(tuple_pattern (identifier) @local)
(case_class_pattern pattern: (identifier) @local)
(type_parameters name: (identifier) @local)
(arrow_renamed_identifier alias: (identifier) @local)

(import_declaration path: (identifier) @ref.import)
(namespace_selectors [(identifier) @ref.import (arrow_renamed_identifier name: (identifier) @ref.import)])
(extends_clause [(type_identifier) @ref.inherit (generic_type type: (type_identifier) @ref.inherit)])
(call_expression function: [
  (identifier) @ref.call
  (field_expression field: (identifier) @ref.call)
  (generic_function function: [(identifier) @ref.call (field_expression field: (identifier) @ref.call)])])
(instance_expression [(type_identifier) @ref.call (generic_type type: (type_identifier) @ref.call)])
(annotation name: (type_identifier) @ref.call)
(assignment_expression left: [(identifier) @ref.write (field_expression field: (identifier) @member.write)])
(field_expression field: (identifier) @member.read)
(type_identifier) @ref.type
(identifier) @ref.read

(comment) @attach
(block_comment) @attach
(annotation) @attach
