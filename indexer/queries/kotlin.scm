(class_declaration name: (identifier) @name.class) @def.class
(class_declaration "interface" name: (identifier) @name.interface) @def.interface
(class_declaration name: (identifier) @name.enum (enum_class_body)) @def.enum
(object_declaration name: (identifier) @name.class) @def.class
(companion_object name: (identifier) @name.class) @def.class
(enum_entry (identifier) @name.constant) @def.constant
(function_declaration name: (identifier) @name.function) @def.function
(secondary_constructor "constructor" @name.method) @def.method
(type_alias type: (identifier) @name.type) @def.type
(property_declaration (variable_declaration (identifier) @name.variable)) @def.variable
(property_declaration (modifiers (property_modifier "const"))
  (variable_declaration (identifier) @name.constant)) @def.constant
(class_body (property_declaration (variable_declaration (identifier) @name.property)) @def.property)
(class_parameter ["val" "var"] . (identifier) @name.property) @def.property

(parameter . (identifier) @local)
(class_parameter . (identifier) @local)
(class_parameter (modifiers) . (identifier) @local)
(multi_variable_declaration (variable_declaration (identifier) @local))
(for_statement (variable_declaration (identifier) @local))
(lambda_parameters (variable_declaration (identifier) @local))
(catch_block . (identifier) @local)
(type_parameter (identifier) @local)
(import (qualified_identifier) (identifier) @local)

(import (qualified_identifier) @ref.import)
(import (qualified_identifier (identifier) @ref.import .))
(delegation_specifier [
  (user_type . (identifier) @ref.inherit)
  (constructor_invocation (user_type . (identifier) @ref.inherit))])
(call_expression . [(identifier) @ref.call (navigation_expression (identifier) @ref.call .)])
(annotation [(user_type (identifier) @ref.call) (constructor_invocation (user_type (identifier) @ref.call))])
(user_type (identifier) @ref.type)
(assignment left: [(identifier) @ref.write (navigation_expression (identifier) @member.write .)])
(navigation_expression (_) (identifier) @member.read .)
(identifier) @ref.read

(line_comment) @attach
(block_comment) @attach
(annotation) @attach
