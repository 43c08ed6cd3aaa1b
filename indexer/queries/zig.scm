(function_declaration name: (identifier) @name.function) @def.function
(variable_declaration) @def.constant @def.variable
(variable_declaration) @def.struct @def.enum
(variable_declaration "const" . (identifier) @name.constant)
(variable_declaration "var" . (identifier) @name.variable)
(variable_declaration "const" . (identifier) @name.struct
  [(struct_declaration) (union_declaration) (opaque_declaration)])
(variable_declaration "const" . (identifier) @name.enum [(enum_declaration) (error_set_declaration)])
(container_field name: (identifier) @name.field) @def.field
(enum_declaration (container_field name: (identifier) @name.constant) @def.constant)
(error_set_declaration (identifier) @name.constant @def.constant)
(test_declaration [(string (string_content) @name.test) (identifier) @name.test]) @def.test

(parameter name: (identifier) @local)
(payload (identifier) @local)

((builtin_function (builtin_identifier) @_import (arguments (string (string_content) @ref.import)))
  (#any-of? @_import "@import" "@cImport" "@embedFile"))
(call_expression function: [(identifier) @ref.call (field_expression member: (identifier) @ref.call)])
(assignment_expression left: [(identifier) @ref.write (field_expression member: (identifier) @member.write)])
(struct_initializer . (identifier) @ref.type)
(parameter type: (identifier) @ref.type)
(parameter type: (_ (identifier) @ref.type))
(function_declaration type: (identifier) @ref.type)
(container_field type: (identifier) @ref.type)
(pointer_type (identifier) @ref.type)
(nullable_type (identifier) @ref.type)
(field_expression member: (identifier) @member.read)
(identifier) @ref.read

(comment) @attach
