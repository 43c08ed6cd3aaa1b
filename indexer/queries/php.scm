(namespace_definition name: (namespace_name) @name.module) @def.module
(class_declaration name: (name) @name.class) @def.class
(interface_declaration name: (name) @name.interface) @def.interface
(trait_declaration name: (name) @name.trait) @def.trait
(enum_declaration name: (name) @name.enum) @def.enum
(enum_case name: (name) @name.constant) @def.constant
(function_definition name: (name) @name.function) @def.function
(method_declaration name: (name) @name.method) @def.method
(const_declaration (const_element (name) @name.constant)) @def.constant
(property_declaration (property_element name: (variable_name (name) @name.field))) @def.field
(property_promotion_parameter name: (variable_name (name) @name.field)) @def.field
((function_call_expression function: (name) @_define
   arguments: (arguments . (argument (string (string_content) @name.constant)))) @def.constant
  (#eq? @_define "define"))
(program (expression_statement (assignment_expression left: (variable_name (name) @name.variable)) @def.variable))

(simple_parameter name: (variable_name (name) @local))
(variadic_parameter name: (variable_name (name) @local))
(assignment_expression left: (variable_name (name) @local))
(foreach_statement (variable_name (name) @local))
(foreach_statement (pair (variable_name (name) @local)))
(catch_clause name: (variable_name (name) @local))

(namespace_use_clause [(name) @ref.import (qualified_name) @ref.import])
(require_once_expression (string (string_content) @ref.import))
(require_expression (string (string_content) @ref.import))
(include_once_expression (string (string_content) @ref.import))
(include_expression (string (string_content) @ref.import))
(base_clause [(name) @ref.inherit (qualified_name (name) @ref.inherit)])
(class_interface_clause [(name) @ref.inherit (qualified_name (name) @ref.inherit)])
(use_declaration [(name) @ref.inherit (qualified_name (name) @ref.inherit)])
(function_call_expression function: [(name) @ref.call (qualified_name (name) @ref.call)])
(member_call_expression name: (name) @ref.call)
(nullsafe_member_call_expression name: (name) @ref.call)
(scoped_call_expression name: (name) @ref.call)
(scoped_call_expression scope: [(name) @ref.type (qualified_name (name) @ref.type)])
(object_creation_expression [(name) @ref.call (qualified_name (name) @ref.call)])
(attribute (name) @ref.call)
(assignment_expression left: (member_access_expression name: (name) @member.write))
(named_type [(name) @ref.type (qualified_name (name) @ref.type)])
(class_constant_access_expression . (name) @ref.type)
(class_constant_access_expression (name) @member.read .)
(member_access_expression name: (name) @member.read)
(variable_name (name) @ref.read)
(name) @ref.read

(comment) @attach
(attribute_list) @attach
