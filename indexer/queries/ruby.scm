(method name: (_) @name.function) @def.function
(singleton_method name: (_) @name.method) @def.method
(class name: [(constant) @name.class (scope_resolution name: (constant) @name.class)]) @def.class
(module name: [(constant) @name.module (scope_resolution name: (constant) @name.module)]) @def.module
(assignment left: (constant) @name.constant) @def.constant
(alias name: (identifier) @name.method) @def.method
((call method: (identifier) @_attribute arguments: (argument_list (simple_symbol) @name.property)) @def.property
  (#any-of? @_attribute "attr_accessor" "attr_reader" "attr_writer"))
((call !receiver method: (identifier) @_test arguments: (argument_list . [
    (string . (string_content) @name.test)
    (simple_symbol) @name.test
    (constant) @name.test
    (scope_resolution name: (constant) @name.test)]) block: (_)) @def.test
  (#any-of? @_test "describe" "context" "it" "specify" "test"))

(method_parameters [
  (identifier) @local
  (optional_parameter name: (identifier) @local)
  (keyword_parameter name: (identifier) @local)
  (splat_parameter name: (identifier) @local)
  (hash_splat_parameter name: (identifier) @local)
  (block_parameter name: (identifier) @local)])
(block_parameters (identifier) @local)
(assignment left: (identifier) @local)
(left_assignment_list (identifier) @local)
(exception_variable (identifier) @local)
(for pattern: (identifier) @local)

((call method: (identifier) @_require arguments: (argument_list (string (string_content) @ref.import)))
  (#any-of? @_require "require" "require_relative" "load" "autoload"))
((call method: (identifier) @_include arguments: (argument_list
  [(constant) @ref.inherit (scope_resolution name: (constant) @ref.inherit)]))
  (#any-of? @_include "include" "extend" "prepend"))
(superclass [(constant) @ref.inherit (scope_resolution name: (constant) @ref.inherit)])
(call method: (_) @ref.call)
(assignment left: (instance_variable) @member.write)
(assignment left: (class_variable) @member.write)
(assignment left: (global_variable) @member.write)
(operator_assignment left: (instance_variable) @member.write)
(instance_variable) @member.read
(class_variable) @member.read
(global_variable) @member.read
(constant) @ref.type
(identifier) @ref.read

(comment) @attach
