(function_definition name: (word) @name.function) @def.function
(variable_assignment name: (variable_name) @name.variable) @def.variable
(declaration_command "readonly" (variable_assignment name: (variable_name) @name.constant) @def.constant)
(declaration_command ["declare" "typeset" "export"] (variable_name) @name.variable) @def.variable

(declaration_command "local" (variable_name) @local)
(for_statement variable: (variable_name) @local)

((command name: (command_name (word) @_source) argument: [(word) (string) (concatenation)] @ref.import)
  (#any-of? @_source "source" "."))
(command_name (word) @ref.call)
(variable_assignment name: (variable_name) @ref.write)
(variable_name) @ref.read

(comment) @attach
