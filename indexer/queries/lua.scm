(function_declaration name: [
  (identifier) @name.function
  (dot_index_expression field: (identifier) @name.function)]) @def.function
(function_declaration name: (method_index_expression method: (identifier) @name.method)) @def.method
(assignment_statement
  (variable_list . name: [(identifier) @name.function (dot_index_expression field: (identifier) @name.function)])
  (expression_list . value: (function_definition))) @def.function
(field name: (identifier) @name.function value: (function_definition)) @def.function
(chunk (variable_declaration (assignment_statement
  (variable_list name: (identifier) @name.variable))) @def.variable)
(chunk (assignment_statement (variable_list name: (identifier) @name.variable)) @def.variable)

(parameters name: (identifier) @local)
(variable_declaration (assignment_statement (variable_list name: (identifier) @local)))
(variable_declaration (variable_list name: (identifier) @local))
(for_numeric_clause name: (identifier) @local)
(for_generic_clause (variable_list name: (identifier) @local))

((function_call name: (identifier) @_require arguments: (arguments . (string content: (string_content) @ref.import)))
  (#any-of? @_require "require" "dofile" "loadfile"))
(function_call name: [
  (identifier) @ref.call
  (dot_index_expression field: (identifier) @ref.call)
  (method_index_expression method: (identifier) @ref.call)])
(assignment_statement (variable_list name: [
  (identifier) @ref.write
  (dot_index_expression field: (identifier) @member.write)]))
(field name: (identifier) @member.write)
(dot_index_expression field: (identifier) @member.read)
(identifier) @ref.read

(comment) @attach
