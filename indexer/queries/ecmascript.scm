; What JavaScript, TypeScript and TSX share. Variables inside functions become locals (tags.py).

(function_declaration name: (identifier) @name.function) @def.function
(generator_function_declaration name: (identifier) @name.function) @def.function
(function_expression name: (identifier) @name.function) @def.function
(class_declaration name: (_) @name.class) @def.class
(class name: (_) @name.class) @def.class
(method_definition name: [(property_identifier) (private_property_identifier)] @name.method) @def.method
(variable_declarator name: (identifier) @name.function
  value: [(arrow_function) (function_expression) (generator_function)]) @def.function
(assignment_expression
  left: [(identifier) @name.function (member_expression property: (property_identifier) @name.function)]
  right: [(arrow_function) (function_expression) (generator_function)]) @def.function
(pair key: (property_identifier) @name.function
  value: [(arrow_function) (function_expression) (generator_function)]) @def.function

(program (lexical_declaration (variable_declarator name: (identifier) @name.variable) @def.variable))
(program (variable_declaration (variable_declarator name: (identifier) @name.variable) @def.variable))
(program (lexical_declaration "const" (variable_declarator name: (identifier) @name.constant
  value: [(number) (string) (template_string) (true) (false) (unary_expression)]) @def.constant))
(export_statement (lexical_declaration (variable_declarator name: (identifier) @name.variable) @def.variable))
(export_statement (variable_declaration (variable_declarator name: (identifier) @name.variable) @def.variable))
(export_statement (lexical_declaration "const" (variable_declarator name: (identifier) @name.constant
  value: [(number) (string) (template_string) (true) (false) (unary_expression)]) @def.constant))
(program (lexical_declaration (variable_declarator name: [
  (object_pattern [
    (shorthand_property_identifier_pattern) @name.variable
    (pair_pattern value: (identifier) @name.variable)])
  (array_pattern (identifier) @name.variable)]) @def.variable))

((expression_statement (call_expression
  function: (identifier) @_test
  arguments: (arguments . (string . (string_fragment) @name.test))))
  @def.test
  (#any-of? @_test "describe" "it" "test" "suite" "context"))

(variable_declarator name: (identifier) @local)
(object_pattern (shorthand_property_identifier_pattern) @local)
(object_pattern (object_assignment_pattern left: (shorthand_property_identifier_pattern) @local))
(object_pattern (pair_pattern value: (identifier) @local))
(array_pattern (identifier) @local)
(rest_pattern (identifier) @local)
(arrow_function parameter: (identifier) @local)
(for_in_statement left: (identifier) @local)
(catch_clause parameter: (identifier) @local)

(import_statement source: (string (string_fragment) @ref.import))
(export_statement source: (string (string_fragment) @ref.import))
(import_specifier name: (identifier) @ref.import)
(import_clause (identifier) @ref.import)
(namespace_import (identifier) @local)
(import_specifier alias: (identifier) @local)
(export_specifier name: (identifier) @ref.other)
(call_expression
  function: [(identifier) @ref.call (member_expression property: (property_identifier) @ref.call)])
(call_expression function: (member_expression property: (private_property_identifier) @ref.call))
(new_expression
  constructor: [(identifier) @ref.call (member_expression property: (property_identifier) @ref.call)])
(decorator [(identifier) @ref.call (call_expression function: (identifier) @ref.call)])
(assignment_expression
  left: [(identifier) @ref.write (member_expression property: (property_identifier) @member.write)])
(augmented_assignment_expression
  left: [(identifier) @ref.write (member_expression property: (property_identifier) @member.write)])
(update_expression
  argument: [(identifier) @ref.write (member_expression property: (property_identifier) @member.write)])
(pair key: (property_identifier) @member.write)
(property_identifier) @member.read
(private_property_identifier) @member.read
(shorthand_property_identifier) @ref.read
(identifier) @ref.read

(comment) @attach
(decorator) @attach
